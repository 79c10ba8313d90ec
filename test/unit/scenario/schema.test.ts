// What is published equals what the loader checks: the JSON Schema file, the reference page, and every scenario file.

import { describe, expect, it } from 'vitest';
import { scenarioJsonSchema, schemaFileText } from '../../../src/scenario/json-schema.ts';
import { scenarioReference } from '../../../src/scenario/reference.ts';
import { stepWords } from '../../../src/scenario/vocabulary.ts';
import { textOf } from '../../support.ts';

describe('published forms', () => {
  it('schema/scenario.schema.json is the one of the code (npx tsx scripts/schema.ts writes it)', () => {
    expect(textOf('schema/scenario.schema.json')).toBe(schemaFileText());
  });

  it('docs/scenarios.md is the one of the code (npx tsx scripts/schema.ts writes it)', () => {
    expect(textOf('docs/scenarios.md')).toBe(scenarioReference());
  });

  it('names every operation, each with a line of help', () => {
    const text = JSON.stringify(scenarioJsonSchema());
    for (const word of stepWords()) {
      expect(word.help.length).toBeGreaterThan(3);
      expect(text).toContain(`"const":"${word.name}"`);
    }
  });
});

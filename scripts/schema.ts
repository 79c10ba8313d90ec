// Writes what is generated from the scenario schemas: schema/scenario.schema.json and the tables of docs/scenarios.md.
// A test holds both against the code.

import { mkdirSync, writeFileSync } from 'node:fs';
import { schemaFileText } from '../src/scenario/json-schema.ts';
import { scenarioReference } from '../src/scenario/reference.ts';

mkdirSync('schema', { recursive: true });
writeFileSync('schema/scenario.schema.json', schemaFileText());
writeFileSync('docs/scenarios.md', scenarioReference());

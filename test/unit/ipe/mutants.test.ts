import { describe, expect, it } from 'vitest';
import { disagreement, mutatedPolicies } from '../../ipe-mutants.ts';

describe('mutated policies', () => {
  it('are rejected exactly when the linter has an error', () => {
    let rejected = 0;
    for (const text of mutatedPolicies('test', 3000)) {
      const found = disagreement(text);
      expect(found.problem, JSON.stringify(text)).toBeNull();
      if (found.rejected) rejected++;
    }
    expect(rejected).toBeGreaterThan(300);
    expect(rejected).toBeLessThan(2990);
  });
});

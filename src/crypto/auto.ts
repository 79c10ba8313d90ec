// Importing this file chooses the provider: node:crypto where it exists, else noble. Entry points import it
// once; a program that wants another provider calls useProvider afterwards.

import { nobleProvider } from './noble.ts';
import { nodeProvider } from './node.ts';
import { useProvider } from './provider.ts';

useProvider(nodeProvider ?? nobleProvider);

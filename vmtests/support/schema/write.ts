/** Writes `fixtures/schemas/*.json` anew: `node vmtests/support/schema/write.ts`. A test compares them with `documents.ts`. */
import { writeFileSync } from 'node:fs';
import { DOCUMENTS, jsonSchema } from './documents.ts';

for (const name of Object.keys(DOCUMENTS) as (keyof typeof DOCUMENTS)[])
	writeFileSync(new URL(`../../../fixtures/schemas/${name}.json`, import.meta.url), jsonSchema(name));

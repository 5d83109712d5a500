/** `fixtures/budgets`: a file for each kernel package, written by `pathproof perf --accept`. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { HOME } from '../payload.ts';
import { type BudgetFile, budgetFile } from './budget.ts';

/** null: nothing is kept of this kernel. */
export function readBudgets(kernel: string): BudgetFile | null {
	const path = pathOf(kernel);
	return existsSync(path) ? budgetFile.parse(JSON.parse(readFileSync(path, 'utf8'))) : null;
}

/** Answers where it is, relative to the repository. */
export function writeBudgets(file: BudgetFile): string {
	const path = pathOf(file.kernel);
	mkdirSync(dirname(path), { recursive: true });
	writeFileSync(path, formatBudgets(file));
	return relative(HOME, path);
}

export function formatBudgets(file: BudgetFile): string {
	return `${JSON.stringify(file, null, '\t')}\n`;
}

function pathOf(kernel: string): string {
	return join(HOME, 'fixtures/budgets', `${kernel}.json`);
}

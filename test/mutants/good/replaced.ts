/** Replaced: a good driver's operations with a mistake in place of some; getters stay getters. */
export const replaced = <T extends object>(good: T, mistake: Partial<T>): T =>
  Object.defineProperties({ ...good }, Object.getOwnPropertyDescriptors(mistake)) as T;

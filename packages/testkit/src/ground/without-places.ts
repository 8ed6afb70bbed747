/**
 * Without places: errors name the line that made a handle. That is another on each machine, and a story is the same on all of them.
 */
export const withoutPlaces = (text: string): string =>
  text.replaceAll(/, made at (?:[^()]*\([^()]*\)|[^ ;,]+)/g, "");

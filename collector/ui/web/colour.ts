// Which of the eight colours a name has: the same in all pictures of a page.

export const COLOURS = 8;
/** What is left over has no colour of its own. */
export const OTHER = 0;

function digest(name: string): number {
  let hash = 0;
  for (const letter of name) hash = (Math.imul(hash, 31) + (letter.codePointAt(0) ?? 0)) >>> 0;
  return hash;
}

/** Colours from 1 on, of names in the order of their weight: by the name, or the next that is free. */
export function colours(names: string[]): Map<string, number> {
  const taken = new Set<number>();
  const given = new Map<string, number>();
  for (const name of names) {
    const own = digest(name) % COLOURS;
    const free =
      Array.from({ length: COLOURS }, (_, step) => (own + step) % COLOURS).find((colour) => !taken.has(colour)) ?? own;
    taken.add(free);
    given.set(name, free + 1);
  }
  return given;
}

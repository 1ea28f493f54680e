/**
 * Colours of services. Eight hues that stay apart for the common kinds of colour blindness, in an
 * order in which neighbours also differ in lightness; the values, one pair per theme, are in
 * `tokens.css`. A name hashes to a slot; names that meet in one slot move on to the next free one
 * in the order in which they were first seen. Colour is never alone: the name stands beside it.
 */

export const SLOTS = 8;

/** @type {Map<string, number>} */
const slots = new Map();
const taken = new Array(SLOTS).fill(0);

function preferred(name) {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193) >>> 0;
  }
  return (hash >>> 8) % SLOTS;
}

/** Gives all `names` their slots, in alphabetical order, so that one list always looks the same. */
export function register(names) {
  for (const name of [...names].sort()) slotOf(name);
}

/** The slot of a service, 0 to 7. @param {string} name */
export function slotOf(name) {
  let slot = slots.get(name);
  if (slot === undefined) {
    const fewest = Math.min(...taken);
    slot = preferred(name);
    while (taken[slot] > fewest) slot = (slot + 1) % SLOTS;
    taken[slot] += 1;
    slots.set(name, slot);
  }
  return slot;
}

/** The class that sets `--service` to this service's colour. */
export function serviceClass(name) {
  return `s${slotOf(name)}`;
}

/** Release line of Node on which what is made of its internals is tested. */
const TESTED_MAJOR = 24;

/** By the name of the binding and of what is in it. */
type Binding = (name: string) => Record<string, never>;

/**
 * What Node's own sockets are made of. Reached by `process.binding`, which Node documents as deprecated (DEP0111) and keeps working;
 * everything goes without it, slower.
 * @param find looks up what is needed
 * @returns undefined on another release line than the tested one, or where some of it is missing
 */
export function findInternals<T extends object>(find: (binding: Binding) => Record<keyof T, unknown>): T | undefined {
  if (Number.parseInt(process.versions.node, 10) !== TESTED_MAJOR) return undefined;
  try {
    const found = find((process as unknown as { readonly binding: Binding }).binding);
    return Object.values(found).includes(undefined) ? undefined : (found as T);
  } catch {
    return undefined;
  }
}

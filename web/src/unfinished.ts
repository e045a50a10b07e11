// What this browser remembers of uploads that are not finished: enough to know
// the file again when it is chosen once more. Nothing else is kept here, one
// entry a video, so that windows don't overwrite each other; and all of it goes
// when its owner signs out (page.ts).

const prefix = "reelflow.upload.";

export interface Begun {
  id: string;
  user: string;
  name: string;
  size: number;
  modified: number; // ms, of the file
  content?: string; // its identity, see files.ts; entries of earlier releases have none
}

type Named = Pick<File, "name" | "size" | "lastModified">;

/** Whether a file, whose identity is content, is the one that was begun, whatever its name and date are now. */
export const same = (b: Begun, f: Named, content: string) =>
  b.content ? b.content === content : b.name === f.name && b.size === f.size && b.modified === f.lastModified;

/** Does nothing where storage is full or switched off: the server's list still tells what is unfinished. */
export function quietly<T>(use: () => T, otherwise: T): T {
  try {
    return use();
  } catch {
    return otherwise;
  }
}

export function remember(id: string, user: string, file: File, content: string): void {
  const entry: Begun = { id, user, name: file.name, size: file.size, modified: file.lastModified, content };
  quietly(() => localStorage.setItem(prefix + id, JSON.stringify(entry)), undefined);
}

export const forget = (id: string) => quietly(() => localStorage.removeItem(prefix + id), undefined);

export function remembered(user: string): Begun[] {
  return entries().filter((b) => b.user === user);
}

/** Forgets what belongs to anybody but this person; to everybody if user is empty. */
export function forgetOthers(user: string): void {
  for (const key of keys()) {
    if (user === "" || parsed(key)?.user !== user) localStorage.removeItem(key);
  }
}

const keys = () => quietly(() => Object.keys(localStorage).filter((k) => k.startsWith(prefix)), []);

const entries = () => keys().flatMap((k) => parsed(k) ?? []);

const parsed = (key: string): Begun | null => quietly(() => JSON.parse(localStorage.getItem(key) ?? "null"), null);

// The part of the HTTP API that the pages use.
import { retryAfter } from "./retry";

export interface Progress {
  stage: string;
  done: number;
  total: number;
  unit: string;
  per_second: number | null;
  eta_seconds: number | null;
}

export interface Upload {
  url: string | null;
  offset: number;
  length: number | null;
  expires_at: string | null;
  stalled: boolean;
}

export interface Replica {
  store: string;
  state: string;
  objects: number;
  bytes: number;
  verified_at: string | null;
}

export interface Captions {
  language: string;
  label: string;
}

export interface Video {
  id: string;
  owner: string;
  stage: string;
  paused: boolean;
  ending: string | null;
  visible: boolean;
  overdue: boolean;
  held: boolean;
  waiting_for: string | null;
  trouble: boolean;
  title: string;
  keep_draft: boolean;
  publish_at: string | null;
  purge_at: string | null;
  progress: Progress | null;
  upload: Upload | null;
  captions: Captions[];
  replicas: Replica[];
  warnings: string[];
  failure: { code: string; message: string; comment?: string | null } | null;
  actions: string[];
  revision?: number;
}

export interface Playback {
  hls: string;
  poster: string;
  previews: string;
  captions: (Captions & { url: string })[];
}

/** What the server would not do, in its own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly reason = "",
    readonly fields: string[] = [], // what it names of the body
    readonly wait = 0, // ms until it wants to be asked again
  ) {
    super(detail);
  }
}

/** The server could not be reached, or something on the way answered in its place: a portal, a proxy. */
export class Unreachable extends Error {
  constructor() {
    super("The server can't be reached. Check your connection and try again.");
  }
}

/** Whether asking again may help. */
export const transient = (e: unknown) =>
  e instanceof Unreachable || (e instanceof Refused && (e.status >= 500 || [408, 425, 429].includes(e.status)));

/** What to say while something is asked for again and again. */
export const retryMessage = (e: Error) => (e instanceof Unreachable ? "Waiting for the network" : e.message);

async function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const request: RequestInit = { method, credentials: "same-origin", cache: "no-store", headers };
  if (body instanceof Blob) request.body = body;
  else if (body !== undefined) {
    request.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  const answer = await fetch(path, request).catch(() => Promise.reject(new Unreachable()));
  const said = await jsonOf(answer);
  if (answer.ok) return said as T;
  const fields = (said.errors ?? []).map((e) => (e.location ?? "").replace(/^.*[./]/, ""));
  throw new Refused(answer.status, said.detail ?? `The server answered ${answer.status}.`, said.reason, fields, retryAfter(answer.headers.get("Retry-After")));
}

interface Problem {
  detail?: string;
  reason?: string;
  errors?: { location?: string }[];
}

/** The JSON of an answer. Whatever else comes, with any status, is not from our server: nothing has been done. */
async function jsonOf(answer: Response): Promise<Problem> {
  if (!/^application\/(problem\+)?json\b/.test(answer.headers.get("Content-Type") ?? "")) throw new Unreachable();
  const said: unknown = await answer.json().catch(() => Promise.reject(new Unreachable()));
  if (typeof said !== "object" || said === null) throw new Unreachable();
  return said;
}

const at = (id: string) => `/v1/videos/${encodeURIComponent(id)}`;

/** Same-origin form of an address of the API, whatever name this page was opened under. */
export const here = (address: string) => {
  const u = new URL(address, location.href);
  return u.pathname + u.search;
};

export const load = (id: string) => call<Video>("GET", at(id));

export const playback = (id: string) => call<Playback>("GET", `${at(id)}/playback`);

/** Gives a command; details are what it takes beside its name. */
export const ask = (id: string, command: string, details?: unknown) =>
  command === "delete" ? call<Video>("DELETE", at(id)) : call<Video>("POST", `${at(id)}/${command}`, details);

/** Makes a file the captions in a language; without one takes them away. */
export const caption = (id: string, language: string, file?: Blob) =>
  call<Video>(file ? "PUT" : "DELETE", `${at(id)}/captions/${encodeURIComponent(language)}`, file, file ? { "Content-Type": "text/plain" } : {});

/** Makes a video. However often it is called with one key, it is one video. */
export const create = (video: unknown, key: string) =>
  call<Video>("POST", "/v1/videos", video, { "Idempotency-Key": key });

/** The caller's own videos in a stage, newest first: the first hundred, and whether there are more. */
export async function mine(stage: string): Promise<{ videos: Video[]; all: boolean }> {
  const page = await call<{ videos: Video[]; next_cursor: string | null }>("GET", `/v1/me/videos?stage=${stage}&limit=100`);
  return { videos: page.videos, all: page.next_cursor === null };
}

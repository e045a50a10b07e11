// Follows videos, by one connection for all windows of this browser: under
// HTTP/1.1 a browser opens six connections a host, and a window that held one of
// its own would keep the seventh from loading.
//
// A window holds a lock for each video that it follows, so that what is wanted can
// be listed, and goes with the window. One of them holds the lock `leader`, and
// with it the stream; it passes on what comes by a BroadcastChannel.
import type { Video } from "./api";
import { quietly } from "./unfinished";
import { Stream } from "./stream";

/** What a page is told of its video. */
export interface Follower {
  video(v: Video): void;
  /** Nothing more will come: the video is erased (`gone`), or can't be seen by this viewer any more (`not_found`). */
  gone(code: string): void;
}

type Message = { hello: string } | { leads: true } | { video: Video } | { gone: string; code: string };

const patience = 4000; // ms without an answer of the leader: its window is frozen
const recount = 10_000; // ms

// Windows of different people don't mix: what one may see is not for the other.
const scope = `reelflow/${typeof document === "undefined" ? "" : (document.querySelector<HTMLElement>("[data-user]")?.dataset.user ?? "")}`;
const leader = `${scope}/events`;
const wanted = (id: string) => `${scope}/follows/${id}/`;

let hub: Hub | null = null;

/** Calls the follower at each change of a video, until it is gone or the function returned is called. */
export function follow(id: string, follower: Follower): () => void {
  hub ??= new Hub();
  return hub.add(id, follower);
}

class Hub {
  private readonly followers = new Map<Follower, string>();
  private readonly last = new Map<string, Video>(); // what the leader has passed on, for windows that come later
  private readonly stream = new Stream({
    video: (v) => this.broadcast({ video: v }),
    gone: (id, code) => this.broadcast({ gone: id, code }),
  });
  // Both are missing where the page is not secure (plain HTTP but for this machine): then each window has its own stream.
  private readonly channel = navigator.locks ? quietly(() => new BroadcastChannel(leader), null) : null;
  private waiting: AbortController | null = null; // for the lock of the leader
  private resign: (() => void) | null = null; // this window leads
  private silence = 0;

  constructor() {
    if (!this.channel) return;
    this.channel.onmessage = (e) => this.received(e.data);
    setInterval(() => this.resign && void this.count(), recount);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.followers.forEach((id) => this.announce(id));
    });
  }

  add(id: string, page: Follower): () => void {
    const release = this.channel ? this.hold(id) : () => {};
    const follower: Follower = {
      video: (v) => page.video(v),
      gone: (code) => {
        stop();
        page.gone(code);
      },
    };
    const stop = () => {
      release();
      this.remove(follower);
    };
    this.followers.set(follower, id);
    if (!this.channel) this.followHere();
    else if (!this.resign && !this.waiting) this.requestLead(false);
    return stop;
  }

  /** Lets all windows know that this one follows a video. */
  private hold(id: string): () => void {
    const name = wanted(id) + crypto.randomUUID();
    let release = () => {};
    const held = new Promise<void>((done) => (release = done));
    void navigator.locks.request(name, () => {
      this.announce(id);
      return held;
    });
    return release;
  }

  private remove(follower: Follower): void {
    this.followers.delete(follower);
    if (this.followers.size > 0) return;
    clearTimeout(this.silence);
    this.waiting?.abort();
    this.waiting = null;
    this.resign?.();
    if (!this.channel) this.stream.follow([]);
  }

  private followHere(): void {
    this.stream.follow([...this.followers.values()]);
  }

  /** Waits to be the leader, or takes that from a window which doesn't answer. */
  private requestLead(steal: boolean): void {
    this.waiting?.abort();
    const waiting = (this.waiting = steal ? null : new AbortController());
    navigator.locks
      .request(leader, waiting ? { signal: waiting.signal } : { steal }, () => this.lead())
      .catch(() => {})
      .finally(() => {
        if (waiting?.signal.aborted) return;
        this.resign = null;
        this.stream.close();
        this.last.clear();
        if (this.followers.size > 0) this.requestLead(false); // it was taken from this window
      });
  }

  private lead(): Promise<void> {
    this.waiting = null;
    clearTimeout(this.silence);
    void this.count();
    return new Promise((done) => (this.resign = done));
  }

  /** Follows what all windows want together. */
  private async count(): Promise<void> {
    const { held } = await navigator.locks.query();
    if (!this.resign) return;
    const prefix = wanted("").slice(0, -1);
    const names = (held ?? []).flatMap((l) => (l.name?.startsWith(prefix) ? [l.name.slice(prefix.length).split("/")[0]] : []));
    this.stream.follow([...new Set(names)]);
  }

  /** Tells the leader that a video is followed, who answers with what it knows. */
  private announce(id: string): void {
    if (this.resign) {
      void this.count();
      return this.rebroadcast(id);
    }
    this.channel!.postMessage({ hello: id } satisfies Message);
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      if (!this.resign && !document.hidden && this.followers.size > 0) this.requestLead(true);
    }, patience);
  }

  private received(m: Message): void {
    if ("leads" in m) return clearTimeout(this.silence);
    if (!("hello" in m)) return this.deliver(m);
    if (!this.resign) return;
    this.channel!.postMessage({ leads: true } satisfies Message);
    void this.count();
    this.rebroadcast(m.hello);
  }

  private rebroadcast(id: string): void {
    const v = this.last.get(id);
    if (v) this.broadcast({ video: v });
  }

  private broadcast(m: Message): void {
    if ("video" in m) this.last.set(m.video.id, m.video);
    else if ("gone" in m) this.last.delete(m.gone);
    this.channel?.postMessage(m);
    this.deliver(m);
  }

  private deliver(m: Message): void {
    for (const [follower, id] of this.followers) {
      if ("video" in m && m.video.id === id) follower.video(m.video);
      else if ("gone" in m && m.gone === id) follower.gone(m.code);
    }
  }
}

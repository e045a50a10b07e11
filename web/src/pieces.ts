// How much of a file one request carries. Short pieces lose little when a network
// breaks, pass proxies that limit or collect bodies, and let a changed file be
// noticed; long ones cost fewer round trips. One that lasts some seconds is both.

const MiB = 1 << 20;
export const smallest = MiB / 2;
const first = MiB; // what nginx lets through when nobody has told it anything
const largest = 64 * MiB;
const segment = 8 * MiB; // what the server stores as one object: whole ones leave no short ones
const lasts = 4000; // ms

export class Pieces {
  private next = first;
  private limit = largest;

  /** Bytes of the next request's body. */
  get size(): number {
    return this.next;
  }

  /** A piece has been stored, in so many milliseconds from its first byte to the answer. */
  stored(bytes: number, ms: number): void {
    if (bytes <= 0) return;
    const wanted = Math.min((bytes / Math.max(ms, 1)) * lasts, this.limit);
    const unit = wanted >= segment ? segment : smallest;
    this.next = Math.max(smallest, Math.floor(wanted / unit) * unit);
  }

  /** The connection broke, or the server waited for too long. */
  broken(): void {
    this.next = Math.max(smallest, this.next / 2);
  }

  /** Something takes no body of so many bytes; no longer piece is tried again. Returns false where no shorter one is left. */
  refused(bytes: number): boolean {
    if (bytes <= smallest) return false;
    this.limit = Math.max(smallest, Math.min(this.limit, bytes / 2));
    this.next = Math.min(this.next, Math.floor(this.limit));
    return true;
  }
}

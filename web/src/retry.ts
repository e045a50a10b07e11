// When to try again what failed.

const first = 500; // ms
const longest = 30_000; // ms
const longestAsked = 300_000; // ms: a person is waiting at the page

/**
 * Milliseconds to wait after so many failures in a row: doubled each time, at
 * most half a minute, and a quarter more or less, so that many clients don't
 * come back at once.
 */
export function backOff(failures: number, random = Math.random()): number {
  return Math.min(longest, first * 2 ** failures) * (0.75 + random / 2);
}

/**
 * Milliseconds that a Retry-After header asks for (RFC 9110, 10.2.3: seconds or
 * an HTTP date), at most five minutes; 0 without one that can be read.
 */
export function retryAfter(header: string | null | undefined, now = Date.now()): number {
  if (!header) return 0;
  const asked = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return asked > 0 ? Math.min(asked, longestAsked) : 0;
}

/** Counts repairs of playback at one place of the video: a part that is always damaged is not repaired for ever. */
export class Recoveries {
  private count = 0;
  private place = -Infinity; // s, of the last one

  /** Whether one more may help, at this position in seconds; it counts as done then. */
  allowed(position: number): boolean {
    if (Math.abs(position - this.place) > 10) this.count = 0;
    this.place = position;
    return ++this.count <= 3;
  }

  reset(): void {
    this.count = 0;
  }
}

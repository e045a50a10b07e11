// Which of two states of a video is the later one: an event that was sent before a
// command had taken hold may come after the command's answer.

interface Revised {
  id: string;
  revision?: number;
}

/** Whether next is of before known. Where either has no revision, what comes last counts. */
export function older(next: Revised, known: Revised | null): boolean {
  return known !== null && next.id === known.id && next.revision !== undefined && known.revision !== undefined && next.revision < known.revision;
}

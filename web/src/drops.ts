// Files that are dropped on the page.

const folder = "A folder can't be sent as it is. Open it, and choose the videos in it.";
const nothing = "Nothing that was dropped is a file of this device. Save the video first, then choose it.";

/**
 * Calls onDrop with the files of each drop, or with why there are none. A drop
 * beside the zone counts, too: the browser would leave the page for it, and what is
 * being sent would end. Text that is dropped into a field stays the field's.
 */
export function catchDrops(zone: HTMLElement, onDrop: (files: File[], why: string) => void): void {
  addEventListener("dragover", (e) => {
    if (forField(e)) return;
    e.preventDefault();
    zone.classList.add("over");
  });
  for (const end of ["dragleave", "dragend", "drop"]) addEventListener(end, () => zone.classList.remove("over"));
  addEventListener("drop", (e) => {
    if (forField(e)) return;
    e.preventDefault();
    const { files, folders } = dropped(e.dataTransfer);
    onDrop(files, files.length > 0 ? "" : folders ? folder : nothing);
  });
}

const forField = (e: DragEvent) =>
  !e.dataTransfer?.types.includes("Files") && e.target instanceof Element && e.target.matches("input:not([type=file]), textarea");

function dropped(data: DataTransfer | null): { files: File[]; folders: boolean } {
  const items = [...(data?.items ?? [])].filter((i) => i.kind === "file");
  const entries = items.map((i) => i.webkitGetAsEntry?.() ?? null);
  const files = items.flatMap((item, i) => (entries[i]?.isDirectory ? [] : (item.getAsFile() ?? [])));
  return { files, folders: entries.some((e) => e?.isDirectory) };
}

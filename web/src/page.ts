// On every page: what this browser keeps belongs to whoever is signed in, and to
// nobody once they have signed out. Other windows of the same browser notice, and
// show nothing of the one who left. A session that only expired ends nothing: what
// is being sent has an address of its own.
import { forgetOthers, quietly } from "./unfinished";

const signedIn = "reelflow.user";
const signingOut = "reelflow.signing-out"; // in this window: what comes next may be the page of nobody
const top = document.querySelector<HTMLElement>("[data-user]");

if (top) belongTo(top.dataset.user!);

for (const link of document.querySelectorAll<HTMLAnchorElement>("a[href='/signin']")) link.href = signInHere();

document.querySelector("form[action='/signout']")?.addEventListener("submit", () =>
  quietly(() => sessionStorage.setItem(signingOut, "yes"), undefined),
);

// A page from the back/forward cache may be somebody else's by now.
addEventListener("pageshow", (e) => e.persisted && location.reload());

function belongTo(user: string): void {
  const left = quietly(() => sessionStorage.getItem(signingOut) !== null, false);
  quietly(() => sessionStorage.removeItem(signingOut), undefined);
  if (user !== "" || left) forgetOthers(user);
  if (user !== "") quietly(() => localStorage.setItem(signedIn, user), undefined);
  else if (left) quietly(() => localStorage.removeItem(signedIn), undefined);
  addEventListener("storage", (e) => {
    if (e.key === signedIn && (e.newValue ?? "") !== user) leave();
  });
}

/** Leads back to this page after signing in. */
function signInHere(): string {
  const here = location.pathname + location.search;
  return here === "/" || here.startsWith("/sign") ? "/signin" : `/signin?next=${encodeURIComponent(here)}`;
}

/** Ends what this page does, and lets the server decide what to show instead. */
function leave(): void {
  document.body.hidden = true;
  dispatchEvent(new Event("signedout"));
  location.reload();
}

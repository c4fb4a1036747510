/** Tells when a page or its network is back, or may have gone. It decides nothing. */
import type { Page } from "./types.js";

/** Call `back` when the network, or the page from sleep or from the back/forward cache, is back; `away` when the network may have gone. */
export function watchPage(page: Page, back: () => void, away: () => void): () => void {
  const { document } = page;
  const shown = ({ persisted }: { persisted: boolean }) => persisted && back();
  const seen = () => document.visibilityState === "visible" && back();
  page.addEventListener("online", back);
  page.addEventListener("offline", away);
  page.addEventListener("pageshow", shown);
  document.addEventListener("visibilitychange", seen);
  return () => {
    page.removeEventListener("online", back);
    page.removeEventListener("offline", away);
    page.removeEventListener("pageshow", shown);
    document.removeEventListener("visibilitychange", seen);
  };
}

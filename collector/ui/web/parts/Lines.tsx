// Lines of text: the first of them, and the rest where somebody wants it.

/** Lines that are seen at once. */
const SEEN = 10;

export function Lines({ of, what }: { of: string[]; what: string }) {
  const list = (lines: string[]) => (
    <ul class="report">
      {lines.map((line, at) => (
        <li key={at}>{line}</li>
      ))}
    </ul>
  );
  return (
    <>
      {list(of.slice(0, SEEN))}
      {of.length > SEEN && (
        <details>
          <summary>
            {of.length - SEEN} more {what}
          </summary>
          {list(of.slice(SEEN))}
        </details>
      )}
    </>
  );
}

// Who looks: a token where the collector wants one. It is kept in memory, or for the tab if
// that is wanted; never in an address, nor for longer.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { hasToken, onUnauthorized, useToken } from "../api";

type Asking = { done: () => void; again: boolean };
const asking = signal<Asking | undefined>(undefined);
let under_way: Promise<void> | undefined;

onUnauthorized(() => {
  under_way ??= new Promise<void>((done) => {
    asking.value = { done, again: hasToken() };
  }).finally(() => {
    under_way = undefined;
  });
  return under_way;
});

/** Other programs that the API server stands before have the same origin there. */
const isShared = () => /\/(proxy|apis)\//.test(location.pathname);

export function Login() {
  const dialog = useRef<HTMLDialogElement>(null);
  const now = asking.value;
  useEffect(() => {
    if (now) dialog.current?.showModal();
  }, [now]);
  if (!now) return null;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const token = String(data.get("token") ?? "");
    if (token.trim() === "") return;
    useToken(token, data.get("tab") !== null);
    asking.value = undefined;
    now.done();
  };
  return (
    <dialog
      class="login"
      ref={dialog}
      aria-labelledby="login-title"
      onClose={() => asking.value && dialog.current?.showModal()}
      onCancel={(event) => event.preventDefault()}
    >
      <form onSubmit={submit}>
        <h2 id="login-title">Say who you are</h2>
        <p>
          {now.again
            ? "The token is not accepted, or not any more. Your question is kept."
            : "This collector wants a token that is for it alone."}{" "}
          It sees what its account may get the pods of. To make one:
        </p>
        <pre tabIndex={0} aria-label="Command that makes a token">
          kubectl create token ACCOUNT --audience weir-collector
        </pre>
        <label for="token">Token</label>
        <input id="token" name="token" autofocus type="password" autocomplete="off" required />
        {!isShared() && (
          <label class="check">
            <input type="checkbox" name="tab" /> Keep it for this tab
          </label>
        )}
        <p class="buttons">
          <button type="submit" class="first">
            Go on
          </button>
        </p>
      </form>
    </dialog>
  );
}

// A page that is fetched when it is shown first.
import { useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";

export function lazy(fetch: () => Promise<ComponentType>): ComponentType {
  let known: ComponentType | undefined;
  return function Lazy() {
    const page = useSignal<ComponentType | undefined>(known);
    const failed = useSignal("");
    useEffect(() => {
      if (known) return;
      fetch().then(
        (fetched) => {
          known = fetched;
          page.value = fetched;
        },
        (error: unknown) => {
          failed.value = String(error);
        },
      );
    }, []);
    if (failed.value)
      return (
        <p class="failure" role="alert">
          This page cannot be fetched; the collector may be another one by now.{" "}
          <button type="button" onClick={() => location.reload()}>
            Load anew
          </button>{" "}
          {failed.value}
        </p>
      );
    const Page = page.value;
    return Page ? <Page /> : <div class="skeleton" />;
  };
}

// A box for the token, shown when the host says 401. Must not keep the token anywhere: the host answers with a cookie that
// scripts can't read.
import { html, useEffect, useRef, useState } from "../lib.js";
import { signIn } from "../api.js";
import { connect } from "../live.js";
import { useTitle } from "../title.js";
import { Button, Field } from "../ui/parts.js";
import { Skep } from "../ui/icons.js";

export default function SignIn() {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const box = useRef(null);
  useTitle("Sign in");
  useEffect(() => box.current?.querySelector("input")?.focus(), []);
  const send = async (event) => {
    event.preventDefault();
    const token = box.current.querySelector("input").value.trim();
    if (!token) return setError("paste the token first");
    setBusy(true);
    setError(null);
    try {
      await signIn(token);
      connect();
    } catch (refused) {
      setError(refused.message);
      setBusy(false);
    }
  };
  return html`<main class="sign" id="main"><form class="sign-card" onSubmit=${send} ref=${box}>
    <div class="brand"><${Skep} size=${32} />skep</div>
    <h1>Sign in to this host</h1>
    <p class="dim">Open the link that <code>skep up</code> printed when it started, or paste a token. The data folder holds two: one in <code>admin.token</code>, which may do everything,
      and one in <code>read.token</code>, which may look.</p>
    <${Field} id="token" label="Token" error=${error}>${(control) => html`<input class="input mono" type="password" autocomplete="current-password" spellcheck="false" ...${control} />`}<//>
    <${Button} type="submit" kind="primary" busy=${busy}>Sign in<//>
  </form></main>`;
}

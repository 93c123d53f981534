// The view library, bound once: preact's elements written as htm's templates. Text in templates is
// text, never markup; nothing here makes markup from text.
import { createElement, render } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

export { render };
export { useCallback, useEffect, useMemo, useRef, useState } from "./vendor/hooks.mjs";
export const html = htm.bind(createElement);

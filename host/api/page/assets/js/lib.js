// The one place that names the vendored Preact + htm; everything else imports from here.
// Must not add behaviour.
export {
  Component,
  createContext,
  h,
  html,
  render,
  useCallback,
  useContext,
  useEffect,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from "../vendor/htm-preact/standalone.module.js";

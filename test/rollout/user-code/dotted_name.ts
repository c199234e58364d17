export { Behaving as default, Behaving } from "./behaving.js";

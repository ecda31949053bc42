// Listen to a stream as a browser does, and print what came: each text with its id, and how often it was opened.
import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);
const told = { texts: [], ids: [], opened: 0, end: "" };
source.onopen = () => { told.opened += 1; };
source.onmessage = (event) => {
  told.texts.push(JSON.parse(event.data).text);
  told.ids.push(event.lastEventId);
};
source.addEventListener("done", (event) => {
  told.end = JSON.parse(event.data).outcome;
  source.close();
  console.log(JSON.stringify(told));
});
setTimeout(() => { console.error(JSON.stringify(told)); process.exit(1); }, 20000).unref();

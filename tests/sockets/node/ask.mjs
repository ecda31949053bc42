// Ask scripted upstreams by the providers' own SDKs, and print what these make of the answers, as one JSON object.
// Usage: node ask.mjs URL-OF-OPENAI URL-OF-RESPONSES URL-OF-ANTHROPIC

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [chatUrl, responsesUrl, messagesUrl] = process.argv.slice(2);
const chats = new OpenAI({ apiKey: "none", baseURL: `${chatUrl}/v1`, maxRetries: 0 });
const answers = new OpenAI({ apiKey: "none", baseURL: `${responsesUrl}/v1`, maxRetries: 0 });
const claude = new Anthropic({ apiKey: "none", baseURL: messagesUrl, maxRetries: 0 });

const messages = [{ role: "user", content: "hi" }];
const ask = { model: "script", messages };

async function chat(options) {
  const deltas = [];
  const stream = chats.chat.completions.stream({ ...ask, ...options });
  stream.on("content", (delta) => deltas.push(delta));
  const { choices, usage } = await stream.finalChatCompletion();
  return { deltas, text: choices[0].message.content, reason: choices[0].finish_reason, tokens: usage?.completion_tokens ?? null };
}

async function chatOnce() {
  const { choices, usage } = await chats.chat.completions.create({ ...ask, stream: false });
  return { text: choices[0].message.content, reason: choices[0].finish_reason, tokens: usage.completion_tokens };
}

async function response() {
  const deltas = [];
  const stream = answers.responses.stream({ model: "script", input: "hi" });
  stream.on("response.output_text.delta", (event) => deltas.push(event.delta));
  const { output, output_text, status, usage } = await stream.finalResponse();
  return { deltas, text: output_text, again: output[0].content[0].text, reason: status, tokens: usage.output_tokens };
}

async function responseOnce() {
  const { output_text, status, usage } = await answers.responses.create({ model: "script", input: "hi" });
  return { text: output_text, reason: status, tokens: usage.output_tokens };
}

async function message() {
  const deltas = [];
  const stream = claude.messages.stream({ ...ask, max_tokens: 100 });
  stream.on("text", (delta) => deltas.push(delta));
  const { content, stop_reason, usage } = await stream.finalMessage();
  return { deltas, text: content[0].text, reason: stop_reason, tokens: usage.output_tokens };
}

async function messageOnce() {
  const { content, stop_reason, usage } = await claude.messages.create({ ...ask, max_tokens: 100 });
  return { text: content[0].text, reason: stop_reason, tokens: usage.output_tokens };
}

async function models() {
  const ids = [];
  for await (const model of chats.models.list()) ids.push(model.id);
  for await (const model of claude.models.list()) ids.push(model.id);
  return ids;
}

console.log(
  JSON.stringify({
    chat: await chat({}),
    "chat with usage": await chat({ stream_options: { include_usage: true } }),
    "chat at once": await chatOnce(),
    response: await response(),
    "response at once": await responseOnce(),
    message: await message(),
    "message at once": await messageOnce(),
    models: await models(),
  }),
);

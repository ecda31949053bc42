// Ask by Vercel's AI SDK, and print what it makes of the answers, as one JSON object.
// Usage: node chat.mjs URL-OF-UI-MESSAGES URL-OF-OPENAI URL-OF-RELAY URL-OF-RELAY-THAT-CUTS URL-OF-RELAY-THAT-REFUSES

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { DefaultChatTransport, TextStreamChatTransport, readUIMessageStream, streamText } from "ai";

const [uiUrl, chatUrl, relayUrl, cutUrl, refusesUrl] = process.argv.slice(2);
const messages = [{ id: "1", role: "user", parts: [{ type: "text", text: "hi" }] }];

// What useChat() does with an answer, without React: its transport, its reader.
async function chat(transport, leaveAfter = Infinity) {
  const told = { deltas: [], text: "", error: "" };
  const leaving = new AbortController();
  try {
    const ask = { chatId: "1", trigger: "submit-message", messages, abortSignal: leaving.signal };
    const [mine, theirs] = (await transport.sendMessages(ask)).tee();
    const whole = (async () => {
      for await (const message of readUIMessageStream({ stream: theirs, terminateOnError: true })) {
        told.text = message.parts.filter(({ type }) => type === "text").map(({ text }) => text).join("");
      }
    })().catch(() => {});
    for await (const chunk of mine) {
      if (chunk.type === "text-delta") told.deltas.push(chunk.delta);
      if (told.deltas.length >= leaveAfter) leaving.abort();
    }
    await whole;
  } catch (error) {
    told.error = `${error.name}: ${error.message}`;
  }
  return told;
}

// The relay reads JSON with chat_history, and answers in plain text: the SDK's text protocol.
function toRelay(url) {
  const prepareSendMessagesRequest = ({ messages }) => ({ body: { chat_history: messages.at(-1).parts[0].text } });
  return new TextStreamChatTransport({ api: `${url}/ans`, prepareSendMessagesRequest });
}

async function model() {
  const provider = createOpenAICompatible({ name: "scripted", baseURL: `${chatUrl}/v1`, includeUsage: true });
  const deltas = [];
  const answer = streamText({ model: provider("script"), prompt: "hi", maxRetries: 0 });
  for await (const delta of answer.textStream) deltas.push(delta);
  const { outputTokens } = await answer.usage;
  return { deltas, text: await answer.text, reason: await answer.finishReason, tokens: outputTokens };
}

console.log(
  JSON.stringify({
    "ui messages": await chat(new DefaultChatTransport({ api: `${uiUrl}/api/chat` })),
    model: await model(),
    relay: await chat(toRelay(relayUrl)),
    cut: await chat(toRelay(cutUrl)),
    refused: await chat(toRelay(refusesUrl)),
    left: await chat(toRelay(relayUrl), 2),
  }),
);

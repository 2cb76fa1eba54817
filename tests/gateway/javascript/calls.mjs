// Calls of clients that know nothing of us. Prints what each client says of each answer, a line of JSON a call.
// The environment has ADDRESS, KEY, MODEL and AUDIO, the path of a sound.
import { readFileSync, createReadStream } from "node:fs";
import { File } from "node:buffer";
import { createGroq } from "@ai-sdk/groq";
import { experimental_transcribe, generateText, jsonSchema, streamText, tool } from "ai";
import Groq from "groq-sdk";
import OpenAI from "openai";

globalThis.File ??= File; // Node 18 has it in a module only, and the SDKs then ask for this line.

const { ADDRESS, KEY, MODEL, AUDIO } = process.env;
const PROMPT = "Name three rivers of Asia, please.";
const CITY = { type: "object", properties: { city: { type: "string" } } };
const asked = { model: MODEL, messages: [{ role: "user", content: PROMPT }] };
const tools = [{ type: "function", function: { name: "get_weather", parameters: CITY } }];

async function joined(pieces, textOf) {
  let text = "";
  for await (const piece of pieces) text += textOf(piece) ?? "";
  return text;
}

// What the SDKs of Groq and of OpenAI have in common: both are made by the same generator.
function callsOf(client) {
  return {
    whole: async () => (await client.chat.completions.create(asked)).choices[0].message.content,
    stream: async () =>
      joined(await client.chat.completions.create({ ...asked, stream: true }), (chunk) => chunk.choices[0]?.delta.content),
    tools: async () => {
      const answer = await client.chat.completions.create({ ...asked, tools, tool_choice: "required" });
      return JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments).city;
    },
    transcription: async () =>
      (await client.audio.transcriptions.create({ model: "whisper-large-v3", file: createReadStream(AUDIO) })).text,
    error: async () => client.chat.completions.create({ ...asked, model: "no-such-model" }),
  };
}

function callsOfOpenAI(client) {
  const responses = { model: MODEL, input: PROMPT };
  return {
    ...callsOf(client),
    responses: async () => (await client.responses.create(responses)).output_text,
    "responses stream": async () =>
      joined(await client.responses.create({ ...responses, stream: true }), (event) =>
        event.type === "response.output_text.delta" ? event.delta : "",
      ),
  };
}

function callsOfVercel(groq) {
  const prompted = { model: groq(MODEL), prompt: PROMPT, maxRetries: 0 };
  const get_weather = tool({ inputSchema: jsonSchema(CITY) });
  return {
    whole: async () => (await generateText(prompted)).text,
    stream: async () => joined(streamText(prompted).textStream, (text) => text),
    tools: async () => {
      const answer = await generateText({ ...prompted, tools: { get_weather }, toolChoice: "required" });
      return answer.toolCalls[0].input.city;
    },
    transcription: async () => {
      const model = groq.transcription("whisper-large-v3");
      return (await experimental_transcribe({ model, audio: readFileSync(AUDIO), maxRetries: 0 })).text;
    },
    error: async () => generateText({ ...prompted, model: groq("no-such-model") }),
  };
}

const openAI = `${ADDRESS}/openai/v1`;
const clients = {
  "groq-sdk": callsOf(new Groq({ baseURL: ADDRESS, apiKey: KEY, maxRetries: 0 })),
  openai: callsOfOpenAI(new OpenAI({ baseURL: openAI, apiKey: KEY, maxRetries: 0 })),
  "@ai-sdk/groq": callsOfVercel(createGroq({ baseURL: openAI, apiKey: KEY })),
};

for (const [client, calls] of Object.entries(clients)) {
  for (const [use, call] of Object.entries(calls)) {
    const told = { client, use, text: "", status: 200 };
    try {
      told.text = await call();
    } catch (error) {
      told.status = error.status ?? error.statusCode;
      if (told.status === undefined) throw error; // No answer at all.
      told.text = error.message;
    }
    console.log(JSON.stringify(told));
  }
}

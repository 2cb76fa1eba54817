// npm install ai @ai-sdk/groq
import { createGroq } from "@ai-sdk/groq";
import { generateText } from "ai";

const groq = createGroq({
  baseURL: "{{ address }}/openai/v1",
  apiKey: "{{ key }}",
});
const { text } = await generateText({
  model: groq("{{ model }}"),
  prompt: "Name three rivers.",
});
console.log(text);

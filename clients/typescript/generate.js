// Generate src/generated: node generate.js DOCUMENT FOLDER
import { createClient } from '@hey-api/openapi-ts';

const [input, path] = process.argv.slice(2);

await createClient({
  input,
  output: { path, module: { extension: '.js' } },
  logs: { level: 'error', file: false },
  // One type for what is sent and what is answered: only passwords differ, and they are in requests alone.
  parser: { transforms: { readWrite: { enabled: false } } },
  plugins: [
    '@hey-api/typescript',
    // Every operation is a method of one class, and its result is the answer's data.
    {
      name: '@hey-api/sdk',
      auth: true,
      responseStyle: 'data',
      operations: { strategy: 'single', containerName: 'Operations', methods: 'instance' },
    },
    { name: '@hey-api/client-fetch', throwOnError: true, baseUrl: false },
  ],
});

import { Controller, Get, Header } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { Config, productVersion } from '#platform';
import { type ModelView, ModelsService } from '#registry';
import { Asker, type RequestContext } from './request.js';

/** A plain page that says what runs and where to go on. */
@ApiExcludeController()
@Controller()
export class HomeController {
  constructor(
    private readonly models: ModelsService,
    private readonly config: Config,
  ) {}

  @Get()
  @Header('Content-Type', 'text/html; charset=utf-8')
  async home(@Asker() context: RequestContext): Promise<string> {
    const { items, next } = await this.models.list(context, { limit: 50 });
    const rows = items.map(row).join('');
    const table = rows
      ? `<table><tr><th>Model<th>Versions<th>In production<th>Answering<th>Serving</tr>${rows}</table>
         ${next ? '<p>… and more: <a href="/api/v1/models">all models</a>.</p>' : ''}`
      : '<p>No model yet. Log the first one:</p><pre>npx slipway log my-model path/to/model.onnx --promote</pre>';
    return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Slipway</title>
<meta name="viewport" content="width=device-width"><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:3rem auto;padding:0 1rem;color:#1c2430}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #d9dee5}
pre{background:#f3f5f8;padding:.8rem;overflow:auto}</style>
<h1>Slipway ${escape(productVersion)}</h1>
<p>Registry here, predictions at <a href="${escape(this.config.SERVING_URL)}/v2">${escape(this.config.SERVING_URL)}</a>.</p>
${table}
<p><a href="/docs">REST API</a> · <a href="/api/v1/models">models as JSON</a> · <a href="/readyz">readiness</a> · <a href="/metrics">metrics</a></p></html>`;
  }
}

function row({ name, versionCount, production, serving }: ModelView): string {
  const link = `/api/v1/models/${encodeURIComponent(name)}`;
  const state = serving.reason ? `${serving.state}: ${serving.reason}` : serving.state;
  const cells = [versionCount, production ?? '–', serving.answering ?? '–', state];
  return `<tr><td><a href="${escape(link)}">${escape(name)}</a>${cells.map((c) => `<td>${escape(String(c))}`).join('')}</tr>`;
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

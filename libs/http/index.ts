export { ErrorFilter } from './error.filter.js';
export { FastExpressAdapter } from './fast-express.adapter.js';
export { createHttpApp, type HttpApp, type HttpAppOptions } from './http-app.js';
export { RawBody, readJsonBody } from './json-body.js';
export { nestLogger } from './nest-logger.js';
export { PlatformModule } from './platform.module.js';
export { ValidateDto, validationProblem } from './validation.js';

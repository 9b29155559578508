export * from './compiler.js';
export { endWithParent, openChannel } from './contained-child.js';
export { type Containment, ContainedProcess, type ProcessEnd } from './contained-process.js';
export * from './importer.js';
export { importerOf, importers } from './importers.js';
export { exportOnnx } from './onnx-export/export-onnx.js';
export { nodeOnnxBackend } from './node-onnx.js';
export { onnxImporter } from './onnx/onnx-importer.js';
export { isNamedAsPickle, type Scan, scanFiles, type ScanLimits, SCANNER } from './scanner.js';

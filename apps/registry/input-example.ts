import { DomainError } from '#platform';
import { CodecError, decodeTensors, signatureName } from '#protocols';

/**
 * Checks that the tensors of an input example can be read, so that whoever registers a version learns of a typing error
 * at once. Whether they suit the model is found out when it is compiled.
 * @throws DomainError INVALID_ARGUMENT with a pointer to the first fault
 */
export function checkInputExample(
  example: { inputs: unknown[]; expected?: unknown[]; parameters?: object } | undefined,
): void {
  if (!example) return;
  try {
    decodeTensors(example.inputs, '/inputExample/inputs');
    decodeTensors(example.expected ?? [], '/inputExample/expected');
    signatureName(example.parameters, '/inputExample/parameters');
  } catch (error) {
    if (error instanceof CodecError) throw DomainError.invalid(error.pointer, error.message);
    throw error;
  }
}

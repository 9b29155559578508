/** `INVALID_PROGRAM`: the program cannot be loaded. `INVALID_INPUT`: the program is sound, what it was asked is not. */
export type ProgramErrorCode = 'INVALID_PROGRAM' | 'INVALID_INPUT';

/**
 * An expected failure of this library, which imports nothing and so has its own error. `pointer` is a JSON pointer: into
 * `program.json` (`INVALID_PROGRAM`) or into the body of the prediction (`INVALID_INPUT`).
 */
export class ProgramError extends Error {
  constructor(
    readonly code: ProgramErrorCode,
    message: string,
    readonly pointer?: string,
  ) {
    super(message);
    this.name = 'ProgramError';
  }

  /** What a request asked is wrong at `pointer`. */
  static input(pointer: string, message: string): ProgramError {
    return new ProgramError('INVALID_INPUT', message, pointer);
  }

  /** `program.json` is wrong at `pointer`. */
  static program(pointer: string, message: string): ProgramError {
    return new ProgramError('INVALID_PROGRAM', `${pointer || 'program'}: ${message}`, pointer);
  }
}

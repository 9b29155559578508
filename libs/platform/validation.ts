import { ValidationPipe } from '@nestjs/common';
import { getMetadataStorage, type ValidationError } from 'class-validator';
import { DomainError, type FieldError } from './errors.js';
import { nearest } from './nearest.js';

/**
 * Checks bodies and queries against their DTO classes: a field that the class does not know is refused, every fault is
 * told with its JSON pointer.
 */
export function validationPipe(): ValidationPipe {
  return new ValidationPipe({
    transform: true,
    whitelist: true,
    forbidNonWhitelisted: true,
    validationError: { target: true, value: true },
    exceptionFactory: (errors) => validationProblem(errors),
  });
}

/** The faults that class-validator found, as one `INVALID_ARGUMENT`. */
export function validationProblem(found: ValidationError[]): DomainError {
  const errors = found.flatMap((error) => fieldErrors(error, ''));
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  const detail = first
    ? `${first.pointer || 'The body'}: ${first.message}${more}`
    : 'The request is not valid.';
  return new DomainError('INVALID_ARGUMENT', detail, { errors });
}

function fieldErrors(error: ValidationError, parent: string): FieldError[] {
  const pointer = `${parent}/${error.property.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const own = Object.entries(error.constraints ?? {}).map(([kind, message]) => ({
    pointer,
    message: kind === 'whitelistValidation' ? unknownField(error) : said(message, error),
  }));
  return [...own, ...(error.children ?? []).flatMap((child) => fieldErrors(child, pointer))];
}

/** What class-validator says, without the property's name, which the pointer carries, and with what came instead. */
function said(message: string, { property, value }: ValidationError): string {
  const expected = message.startsWith(`${property} `)
    ? message.slice(property.length + 1)
    : message;
  return value === undefined ? `${expected}; it is missing` : `${expected}; got ${excerpt(value)}`;
}

function excerpt(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function unknownField({ property, target }: ValidationError): string {
  const known = target ? fieldsOf(target.constructor) : [];
  const guess = nearest(property, known);
  return guess === undefined
    ? 'is not a known field'
    : `is not a known field; did you mean "${guess}"? Known are ${known.join(', ')}`;
}

function fieldsOf(dto: object): string[] {
  if (typeof dto !== 'function') return [];
  const metadata = getMetadataStorage().getTargetValidationMetadatas(dto, '', false, false);
  return [...new Set(metadata.map(({ propertyName }) => propertyName))].toSorted();
}

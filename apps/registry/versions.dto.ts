import { ApiProperty } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsOptional,
  IsString,
  Matches,
  MaxLength,
  ValidateNested,
} from 'class-validator';
import { NewLineageDto, VersionLineageDto } from './lineage.dto.js';
import { InputExampleDto, SignatureDto, SignaturesDto } from './signature.dto.js';
import { IsJsonObject, IsMetricMap, IsStringMap, MayBeAbsent } from './validators.js';

export class FileDto {
  @ApiProperty({ example: 'model.onnx' })
  @IsString()
  path: string;

  @ApiProperty({ example: 'sha256:…' })
  @Matches(/^sha256:[0-9a-f]{64}$/, {
    message: '$property must be "sha256:" and 64 lower-case hexadecimal digits',
  })
  digest: string;
}

export class SizedFileDto extends FileDto {
  @ApiProperty({ type: Number, description: 'Bytes' })
  size: number;
}

export class CreateVersionDto {
  @ApiProperty({ type: [FileDto] })
  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(100_000)
  @ValidateNested({ each: true })
  @Type(() => FileDto)
  files: FileDto[];

  @ApiProperty({
    required: false,
    type: String,
    nullable: true,
    example: 'onnx',
    description: 'Recognised from the files where it is left out.',
  })
  @IsOptional()
  @IsString()
  @MaxLength(100)
  format?: string | null;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsString()
  @MaxLength(100_000)
  description?: string;

  @ApiProperty({ required: false, type: Object, additionalProperties: { type: 'string' } })
  @MayBeAbsent()
  @IsStringMap()
  tags?: Record<string, string>;

  @ApiProperty({ required: false, type: Object, additionalProperties: true })
  @MayBeAbsent()
  @IsJsonObject()
  metadata?: Record<string, unknown>;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @ValidateNested()
  @Type(() => SignatureDto)
  signature?: SignatureDto;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @ValidateNested()
  @Type(() => InputExampleDto)
  inputExample?: InputExampleDto;

  @ApiProperty({ required: false, type: Object, additionalProperties: { type: 'number' } })
  @MayBeAbsent()
  @IsMetricMap()
  metrics?: Record<string, number | bigint | string>;

  @ApiProperty({ required: false, type: Object, additionalProperties: { type: 'string' } })
  @MayBeAbsent()
  @IsStringMap()
  params?: Record<string, string>;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @ValidateNested()
  @Type(() => NewLineageDto)
  lineage?: NewLineageDto;
}

export class UpdateVersionDto {
  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsString()
  @MaxLength(100_000)
  description?: string;

  @ApiProperty({
    required: false,
    type: Object,
    additionalProperties: { type: 'string', nullable: true },
  })
  @MayBeAbsent()
  @IsStringMap({ removable: true })
  tags?: Record<string, string | null>;

  @ApiProperty({ required: false, type: Object, additionalProperties: true })
  @MayBeAbsent()
  @IsJsonObject()
  metadata?: Record<string, unknown>;
}

export class VersionServingDto {
  @ApiProperty({ enum: ['pending', 'servable', 'unsupported', 'failed'] })
  state: string;

  @ApiProperty({ required: false })
  reason?: string;

  @ApiProperty({ type: String, nullable: true })
  format: string | null;

  @ApiProperty({
    required: false,
    type: Object,
    description:
      'The greatest difference between the golden rows and their answers: output, at, row, expected, got, absolute, relative, message. Present where an input example with `expected` was run, whatever the verdict',
  })
  difference?: unknown;

  @ApiProperty({ type: String, nullable: true, example: 'onnx@1' })
  importer: string | null;

  @ApiProperty({ type: String, nullable: true, format: 'date-time' })
  checkedAt: string | null;
}

export class VersionDto {
  @ApiProperty({ format: 'uuid' })
  id: string;

  @ApiProperty()
  model: string;

  @ApiProperty()
  version: number;

  @ApiProperty({ enum: ['None', 'Staging', 'Production', 'Archived'] })
  stage: string;

  @ApiProperty({ type: [String] })
  aliases: string[];

  @ApiProperty()
  description: string;

  @ApiProperty({ type: Object, additionalProperties: { type: 'string' } })
  tags: Record<string, string>;

  @ApiProperty({ type: Object, additionalProperties: true })
  metadata: Record<string, unknown>;

  @ApiProperty({ type: String, nullable: true })
  format: string | null;

  @ApiProperty({ type: SignatureDto, nullable: true })
  signature: SignatureDto | null;

  @ApiProperty({
    type: SignaturesDto,
    nullable: true,
    description: 'Null where the signatures of the model have no names',
  })
  signatures: SignaturesDto | null;

  @ApiProperty({ type: InputExampleDto, nullable: true })
  inputExample: InputExampleDto | null;

  @ApiProperty({ type: Object, additionalProperties: { type: 'number' } })
  metrics: Record<string, number | bigint | string>;

  @ApiProperty({ type: Object, additionalProperties: { type: 'string' } })
  params: Record<string, string>;

  @ApiProperty()
  lineage: VersionLineageDto;

  @ApiProperty({
    type: [SizedFileDto],
    nullable: true,
    description: 'Null where the bytes are not held here',
  })
  files: SizedFileDto[] | null;

  @ApiProperty({ type: String, nullable: true, description: 'Digest of the manifest' })
  digest: string | null;

  @ApiProperty({ description: 'Bytes of all files' })
  size: number;

  @ApiProperty()
  serving: VersionServingDto;

  @ApiProperty()
  createdBy: string;

  @ApiProperty({ format: 'date-time' })
  createdAt: string;

  @ApiProperty({ format: 'date-time' })
  updatedAt: string;

  @ApiProperty()
  etag: string;
}

export class VersionPageDto {
  @ApiProperty({ type: [VersionDto] })
  items: VersionDto[];

  @ApiProperty({ required: false })
  next?: string;
}

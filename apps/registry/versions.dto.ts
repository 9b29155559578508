import { ApiProperty } from '@nestjs/swagger';
import { Transform, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsIn,
  IsInt,
  IsNumber,
  IsOptional,
  IsString,
  Length,
  Matches,
  Max,
  MaxLength,
  Min,
  ValidateNested,
} from 'class-validator';
import { IsJsonObject, IsMetricMap, IsStringMap, MayBeAbsent } from './validators.js';

const dtypes = [
  'BOOL',
  'UINT8',
  'UINT16',
  'UINT32',
  'UINT64',
  'INT8',
  'INT16',
  'INT32',
  'INT64',
  'FP16',
  'BF16',
  'FP32',
  'FP64',
  'BYTES',
] as const;

/** Of numbers of versions and sizes of dimensions. */
const maxInteger = 2 ** 31 - 1;

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

export class TensorSpecDto {
  @ApiProperty({ example: 'x' })
  @IsString()
  @Length(1, 1000)
  name: string;

  @ApiProperty({ enum: dtypes })
  @IsIn(dtypes)
  dtype: (typeof dtypes)[number];

  @ApiProperty({ type: [Number], example: [-1, 4], description: '-1 is a free dimension' })
  @IsArray()
  @ArrayMaxSize(32)
  @IsInt({ each: true })
  @Min(-1, { each: true })
  @Max(maxInteger, { each: true })
  shape: number[];
}

export class SignatureDto {
  @ApiProperty({ type: [TensorSpecDto] })
  @IsArray()
  @ArrayMaxSize(10_000)
  @ValidateNested({ each: true })
  @Type(() => TensorSpecDto)
  inputs: TensorSpecDto[];

  @ApiProperty({ type: [TensorSpecDto] })
  @IsArray()
  @ArrayMaxSize(10_000)
  @ValidateNested({ each: true })
  @Type(() => TensorSpecDto)
  outputs: TensorSpecDto[];

  @ApiProperty({ required: false, type: [String] })
  @MayBeAbsent()
  @IsArray()
  @IsString({ each: true })
  defaultOutputs?: string[];
}

export class ToleranceDto {
  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsNumber()
  @Min(0)
  rtol?: number;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsNumber()
  @Min(0)
  atol?: number;
}

export class RequestedOutputDto {
  @ApiProperty()
  @IsString()
  @Length(1, 1000)
  name: string;

  @ApiProperty({ required: false, type: Object, additionalProperties: true })
  @MayBeAbsent()
  @IsJsonObject()
  parameters?: Record<string, unknown>;
}

/** A V2 infer request; with `expected` its rows are golden. */
export class InputExampleDto {
  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsString()
  @MaxLength(1000)
  id?: string;

  @ApiProperty({ type: [Object], description: 'V2 tensors' })
  @IsArray()
  @ArrayMinSize(1)
  inputs: unknown[];

  @ApiProperty({ required: false, type: Object, additionalProperties: true })
  @MayBeAbsent()
  @IsJsonObject()
  parameters?: Record<string, unknown>;

  @ApiProperty({ required: false, type: [RequestedOutputDto] })
  @MayBeAbsent()
  @IsArray()
  @ValidateNested({ each: true })
  @Type(() => RequestedOutputDto)
  outputs?: RequestedOutputDto[];

  @ApiProperty({
    required: false,
    type: [Object],
    description: 'V2 tensors that the compiled version must reproduce.',
  })
  @MayBeAbsent()
  @IsArray()
  expected?: unknown[];

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @ValidateNested()
  @Type(() => ToleranceDto)
  tolerance?: ToleranceDto;
}

export class DatasetDto {
  @ApiProperty()
  @IsString()
  @Length(1, 1000)
  name: string;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsString()
  @MaxLength(1000)
  digest?: string;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsString()
  @MaxLength(10_000)
  source?: string;
}

export class ParentDto {
  @ApiProperty()
  @IsString()
  model: string;

  @ApiProperty()
  @IsInt()
  @Min(1)
  @Max(maxInteger)
  version: number;
}

export class NewLineageDto {
  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsString()
  @Length(1, 1000)
  run?: string;

  @ApiProperty({ required: false, type: [DatasetDto] })
  @MayBeAbsent()
  @IsArray()
  @ArrayMaxSize(1000)
  @ValidateNested({ each: true })
  @Type(() => DatasetDto)
  datasets?: DatasetDto[];

  @ApiProperty({ required: false, type: [ParentDto] })
  @MayBeAbsent()
  @IsArray()
  @ArrayMaxSize(1000)
  @ValidateNested({ each: true })
  @Type(() => ParentDto)
  parents?: ParentDto[];
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
    description: 'Where golden rows were not reproduced',
  })
  difference?: unknown;

  @ApiProperty({ type: String, nullable: true, example: 'onnx@1' })
  importer: string | null;

  @ApiProperty({ type: String, nullable: true, format: 'date-time' })
  checkedAt: string | null;
}

export class VersionLineageDto {
  @ApiProperty({ type: String, nullable: true })
  run: string | null;

  @ApiProperty({ type: [DatasetDto] })
  datasets: DatasetDto[];

  @ApiProperty({ type: [ParentDto] })
  parents: ParentDto[];
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

export class LineageQueryDto {
  @ApiProperty({ required: false, enum: ['up', 'down', 'both'], default: 'both' })
  @IsIn(['up', 'down', 'both'])
  direction: 'up' | 'down' | 'both' = 'both';

  @ApiProperty({ required: false, minimum: 1, maximum: 50, default: 10 })
  @Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? Number(value) : value))
  @IsInt()
  @Min(1)
  @Max(50)
  depth: number = 10;
}

export class LineageNodeDto {
  @ApiProperty()
  id: string;

  @ApiProperty({ enum: ['dataset', 'run', 'version', 'deployment'] })
  kind: string;

  @ApiProperty()
  name: string;

  @ApiProperty()
  depth: number;

  @ApiProperty({ required: false })
  model?: string;

  @ApiProperty({ required: false })
  version?: number;

  @ApiProperty({ required: false })
  stage?: string;

  @ApiProperty({ required: false })
  deleted?: boolean;

  @ApiProperty({ required: false })
  digest?: string;

  @ApiProperty({ required: false })
  source?: string;
}

export class LineageEdgeDto {
  @ApiProperty()
  from: string;

  @ApiProperty()
  to: string;
}

export class LineageDto {
  @ApiProperty({ type: [LineageNodeDto] })
  nodes: LineageNodeDto[];

  @ApiProperty({ type: [LineageEdgeDto] })
  edges: LineageEdgeDto[];
}

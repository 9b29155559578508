import { ApiExtraModels, ApiProperty, getSchemaPath } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsIn,
  IsInt,
  IsNumber,
  IsString,
  Length,
  Max,
  MaxLength,
  Min,
  ValidateNested,
} from 'class-validator';
import { IsJsonObject, MayBeAbsent, maxInteger } from './validators.js';

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

export class TensorFlowTensorDto {
  @ApiProperty({ example: 'x' })
  name: string;

  @ApiProperty({ example: 'DT_FLOAT' })
  dtype: string;

  @ApiProperty({ type: [Number], nullable: true, description: 'Null: of any rank' })
  shape: number[] | null;

  @ApiProperty({ example: 'serving_default_x:0', description: 'What the graph calls it' })
  tensor: string;
}

export class TensorFlowSignatureDto {
  @ApiProperty({ example: 'tensorflow/serving/predict' })
  methodName: string;

  @ApiProperty({ type: [TensorFlowTensorDto] })
  inputs: TensorFlowTensorDto[];

  @ApiProperty({ type: [TensorFlowTensorDto] })
  outputs: TensorFlowTensorDto[];
}

@ApiExtraModels(TensorFlowSignatureDto)
export class TensorFlowSignaturesDto {
  @ApiProperty({ type: [String], example: ['serve'] })
  tags: string[];

  @ApiProperty({
    type: Object,
    additionalProperties: { $ref: getSchemaPath(TensorFlowSignatureDto) },
    description: 'By name, those that cannot be run included',
  })
  signatures: Record<string, TensorFlowSignatureDto>;
}

/** The signatures of a model that names them. */
@ApiExtraModels(SignatureDto)
export class SignaturesDto {
  @ApiProperty({
    required: false,
    type: String,
    description: 'The one that a request gets which names none',
  })
  default?: string;

  @ApiProperty({
    type: Object,
    additionalProperties: { $ref: getSchemaPath(SignatureDto) },
    description: 'By `parameters.signature_name` of a request',
  })
  named: Record<string, SignatureDto>;

  @ApiProperty({
    required: false,
    type: Object,
    additionalProperties: { type: 'string' },
    description: 'Those that cannot be run, and why',
  })
  refused?: Record<string, string>;

  @ApiProperty({
    required: false,
    type: TensorFlowSignaturesDto,
    description: 'What `saved_model_cli show --all` shows',
  })
  tensorflow?: TensorFlowSignaturesDto;
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

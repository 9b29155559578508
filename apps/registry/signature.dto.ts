import { ApiProperty } from '@nestjs/swagger';
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

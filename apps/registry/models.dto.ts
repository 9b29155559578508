import { ApiProperty } from '@nestjs/swagger';
import { IsIn, IsString, MaxLength } from 'class-validator';
import { IsJsonObject, IsStringMap, MayBeAbsent } from './validators.js';

const maxDescription = 100_000;

export class CreateModelDto {
  @ApiProperty({ example: 'iris', minLength: 1, maxLength: 255 })
  @IsString()
  name: string;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsString()
  @MaxLength(maxDescription)
  description?: string;

  @ApiProperty({ required: false, type: Object, additionalProperties: { type: 'string' } })
  @MayBeAbsent()
  @IsStringMap()
  tags?: Record<string, string>;

  @ApiProperty({ required: false, type: Object, additionalProperties: true })
  @MayBeAbsent()
  @IsJsonObject()
  metadata?: Record<string, unknown>;
}

export class UpdateModelDto {
  @ApiProperty({ required: false, description: 'A new name; versions, history and aliases stay.' })
  @MayBeAbsent()
  @IsString()
  name?: string;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsString()
  @MaxLength(maxDescription)
  description?: string;

  @ApiProperty({
    required: false,
    type: Object,
    additionalProperties: { type: 'string', nullable: true },
    description: 'Tags to set; `null` removes one; those not named stay.',
  })
  @MayBeAbsent()
  @IsStringMap({ removable: true })
  tags?: Record<string, string | null>;

  @ApiProperty({
    required: false,
    type: Object,
    additionalProperties: true,
    description: 'Replaces the metadata.',
  })
  @MayBeAbsent()
  @IsJsonObject()
  metadata?: Record<string, unknown>;

  @ApiProperty({
    required: false,
    example: '@champion',
    description: 'What serving follows: `production`, or an alias such as `@champion`.',
  })
  @MayBeAbsent()
  @IsString()
  follow?: string;
}

export class DeleteModelQueryDto {
  @ApiProperty({ required: false, enum: ['true', 'false'] })
  @MayBeAbsent()
  @IsIn(['true', 'false'])
  force?: string;
}

export class ServingSummaryDto {
  @ApiProperty({ type: Number, nullable: true })
  wanted: number | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'What every live serving process answers with',
  })
  answering: number | null;

  @ApiProperty({ enum: ['none', 'loading', 'ready', 'failed', 'quarantined', 'unserved'] })
  state: string;

  @ApiProperty({ required: false })
  reason?: string;
}

export class ModelDto {
  @ApiProperty({ format: 'uuid' })
  id: string;

  @ApiProperty({ example: 'iris' })
  name: string;

  @ApiProperty()
  description: string;

  @ApiProperty({ type: Object, additionalProperties: { type: 'string' } })
  tags: Record<string, string>;

  @ApiProperty({ type: Object, additionalProperties: true })
  metadata: Record<string, unknown>;

  @ApiProperty({ type: Number, nullable: true })
  production: number | null;

  @ApiProperty({ type: Number, nullable: true })
  staging: number | null;

  @ApiProperty({
    type: Object,
    additionalProperties: { type: 'integer' },
    example: { champion: 3 },
  })
  aliases: Record<string, number>;

  @ApiProperty({ type: Number, nullable: true })
  latestVersion: number | null;

  @ApiProperty()
  versionCount: number;

  @ApiProperty({ example: 'production' })
  follow: string;

  @ApiProperty()
  serving: ServingSummaryDto;

  @ApiProperty()
  createdBy: string;

  @ApiProperty({ format: 'date-time' })
  createdAt: string;

  @ApiProperty({ format: 'date-time' })
  updatedAt: string;

  @ApiProperty({ example: '"4"' })
  etag: string;
}

export class ModelPageDto {
  @ApiProperty({ type: [ModelDto] })
  items: ModelDto[];

  @ApiProperty({ required: false })
  next?: string;
}

import { ApiProperty } from '@nestjs/swagger';
import {
  IsBoolean,
  IsIn,
  IsInt,
  IsNumber,
  IsString,
  Max,
  MaxLength,
  Min,
  ValidateIf,
} from 'class-validator';
import { ModelDto } from './models.dto.js';
import { MayBeAbsent } from './validators.js';

const stageNames = ['Production', 'Staging', 'Archived', 'None'] as const;

export class RollbackDto {
  @ApiProperty({ required: false, description: 'Why; kept with the transition.' })
  @MayBeAbsent()
  @IsString()
  @MaxLength(10_000)
  reason?: string;

  @ApiProperty({
    required: false,
    type: Number,
    nullable: true,
    description:
      'The version that must hold the stage or alias now; null = nobody; absent = unchecked.',
  })
  @ValidateIf((_, value) => value !== undefined && value !== null)
  @IsInt()
  @Min(1)
  ifCurrent?: number | null;

  @ApiProperty({
    required: false,
    default: 5,
    minimum: 0,
    maximum: 300,
    description: 'Seconds to wait until every serving process answers with the version.',
  })
  @MayBeAbsent()
  @IsNumber()
  @Min(0)
  @Max(300)
  wait?: number;
}

export class PromoteDto extends RollbackDto {
  @ApiProperty({ required: false, enum: stageNames, default: 'Production' })
  @MayBeAbsent()
  @IsIn(stageNames)
  stage?: (typeof stageNames)[number];

  @ApiProperty({
    required: false,
    description: 'Record the change although the version cannot be served.',
  })
  @MayBeAbsent()
  @IsBoolean()
  unserved?: boolean;
}

export class SetAliasDto extends RollbackDto {
  @ApiProperty({ oneOf: [{ type: 'integer', minimum: 1 }, { type: 'string' }], example: 3 })
  @ValidateIf((_, value) => typeof value !== 'string')
  @IsInt({ message: '$property must be the number of a version, or a word such as "latest"' })
  @Min(1)
  version: number | string;

  @ApiProperty({ required: false })
  @MayBeAbsent()
  @IsBoolean()
  unserved?: boolean;
}

export class TransitionDto {
  @ApiProperty()
  id: number;

  @ApiProperty({ enum: ['stage', 'alias', 'rollback'] })
  kind: string;

  @ApiProperty({ type: Number, nullable: true })
  version: number | null;

  @ApiProperty({
    type: String,
    nullable: true,
    example: 'None',
    description: 'A stage, or an alias as @champion',
  })
  from: string | null;

  @ApiProperty({ type: String, nullable: true, example: 'Production' })
  to: string | null;

  @ApiProperty({
    type: Number,
    nullable: true,
    description: 'The version that held the stage or alias before',
  })
  previousVersion: number | null;

  @ApiProperty()
  reason: string;

  @ApiProperty()
  actor: string;

  @ApiProperty()
  actorVerified: boolean;

  @ApiProperty({ format: 'date-time' })
  at: string;
}

export class TransitionAnswerDto {
  @ApiProperty({ type: TransitionDto, nullable: true })
  transition: TransitionDto | null;

  @ApiProperty()
  model: ModelDto;

  @ApiProperty({ enum: ['ready', 'loading', 'failed', 'unserved'] })
  serving: string;
}

export class TransitionPageDto {
  @ApiProperty({ type: [TransitionDto] })
  items: TransitionDto[];

  @ApiProperty({ required: false })
  next?: string;
}

import { ApiProperty } from '@nestjs/swagger';
import { Transform, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  IsArray,
  IsIn,
  IsInt,
  IsString,
  Length,
  Max,
  MaxLength,
  Min,
  ValidateNested,
} from 'class-validator';
import { MayBeAbsent, maxInteger } from './validators.js';

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

export class VersionLineageDto {
  @ApiProperty({ type: String, nullable: true })
  run: string | null;

  @ApiProperty({ type: [DatasetDto] })
  datasets: DatasetDto[];

  @ApiProperty({ type: [ParentDto] })
  parents: ParentDto[];
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

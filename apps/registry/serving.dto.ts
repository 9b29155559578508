import { ApiProperty } from '@nestjs/swagger';
import { IsRFC3339 } from 'class-validator';
import { MayBeAbsent } from './validators.js';

export class ServingProcessDto {
  @ApiProperty()
  replica: string;

  @ApiProperty()
  process: number;

  @ApiProperty({ type: Number, nullable: true })
  wanted: number | null;

  @ApiProperty({ type: Number, nullable: true })
  answering: number | null;

  @ApiProperty({ enum: ['loading', 'ready', 'failed', 'quarantined'] })
  state: string;

  @ApiProperty({ required: false })
  reason?: string;

  @ApiProperty({ type: String, format: 'date-time' })
  since: Date;

  @ApiProperty({ type: String, format: 'date-time' })
  heartbeatAt: Date;
}

export class ServingProcessesDto {
  @ApiProperty({ type: [ServingProcessDto] })
  items: ServingProcessDto[];
}

export class StatisticsQueryDto {
  @ApiProperty({
    required: false,
    format: 'date-time',
    description: 'Default: an hour before `to`.',
  })
  @MayBeAbsent()
  @IsRFC3339({ message: '$property must be a time such as 2026-11-20T12:00:00Z' })
  from?: string;

  @ApiProperty({ required: false, format: 'date-time', description: 'Default: now.' })
  @MayBeAbsent()
  @IsRFC3339({ message: '$property must be a time such as 2026-11-20T12:00:00Z' })
  to?: string;
}

export class MinuteStatisticsDto {
  @ApiProperty({ format: 'date-time' })
  minute: string;

  @ApiProperty()
  version: number;

  @ApiProperty()
  requests: number;

  @ApiProperty()
  errors: number;

  @ApiProperty({ type: Number, nullable: true, description: 'Milliseconds' })
  p50: number | null;

  @ApiProperty({ type: Number, nullable: true })
  p95: number | null;

  @ApiProperty({ type: Number, nullable: true })
  p99: number | null;
}

export class StatisticsDto {
  @ApiProperty({ type: [MinuteStatisticsDto] })
  items: MinuteStatisticsDto[];
}

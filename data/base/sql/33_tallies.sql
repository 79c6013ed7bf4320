-- Filled chunk by chunk, summed up at the end.

create or replace table dirt_rows (file varchar, kind varchar, key varchar, is_in_place boolean);

create or replace table seller_parts (
    seller_no integer,
    lines bigint,
    returned_lines bigint,
    expected_returns decimal(38, 9),
    expected_without_seller decimal(38, 9),
    expected_without_seller_and_product decimal(38, 9)
);

create or replace table incident_parts (
    incident_no integer,
    lines bigint,
    expected_returns decimal(38, 9),
    excess_returns decimal(38, 9),
    excess_refunds_eur decimal(38, 6)
);

{{ repeated_rows(
    ref('int_returns_screened'),
    accepted='return',
    moment='returned_at',
    columns=['returned_at'] + return_columns(),
) }}

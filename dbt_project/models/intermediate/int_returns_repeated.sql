{{ repeated_rows(
    ref('int_returns_screened'),
    accepted='return',
    moment='returned_at',
    columns=return_columns(),
) }}

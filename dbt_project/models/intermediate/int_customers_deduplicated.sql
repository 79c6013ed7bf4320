{{ latest_delivery(
    ref('stg_canonical__customers'),
    key='customer_id',
    columns=['country', 'customer_type', 'created_at'],
) }}

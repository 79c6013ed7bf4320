{{ latest_delivery(
    ref('stg_canonical__sellers'),
    key='seller_id',
    columns=['seller_name', 'country', 'created_at'],
) }}

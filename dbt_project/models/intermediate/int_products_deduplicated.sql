{{ latest_delivery(
    ref('stg_canonical__products'),
    key='product_id',
    columns=['product_name', 'category', 'brand', 'unit_cost', 'created_at'],
) }}
